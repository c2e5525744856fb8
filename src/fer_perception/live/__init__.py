"""Live operation without ROS: the newest frame of each camera, one worker thread, statistics."""
