"""Everything that imports rclpy or message packages: nodes, parameters, topics, QoS, conversions, ROS4HRI."""
