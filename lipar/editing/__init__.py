"""The main job: a video file in, an edited video file out."""
