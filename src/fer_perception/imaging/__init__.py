"""Images in and out: encodings, image files, video sources, face crops. Knows no model."""
