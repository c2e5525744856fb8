"""Building, caching and inspecting TensorRT engines."""
