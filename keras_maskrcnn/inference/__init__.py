"""From pictures of any size to `Detections` in their own pixels."""
