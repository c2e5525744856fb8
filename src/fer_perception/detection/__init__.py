"""Face detection: boxes and landmarks of the faces in an image."""
