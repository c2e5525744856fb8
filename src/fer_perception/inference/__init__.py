"""Running ONNX graphs: named float32 arrays in, named float32 arrays out."""
