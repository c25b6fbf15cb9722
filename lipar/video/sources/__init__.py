"""What an edit can read besides video files: pictures in a folder, animations, raw video, live pipes and cameras."""
