"""Face detectors: YuNet (ONNX Runtime or OpenCV) and Haar, behind one protocol."""
