"""What an edit can write besides video files: the standard output, pictures in a folder, GIF animations."""
