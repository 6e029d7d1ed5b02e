"""What happens to decoded frames on their way to the model.

On the CPU, uint8, one decision for all frames of a clip:

    frames (n,H,W,3) ──train.TrainTransform──► clips (R,T,h,w,3)      crop · resize · flip · erasing …
    frames (n,H,W,3) ──evaluation.EvaluationTransform──► (V,T,h,w,3)  resize · crops, for all views at once

On the device, float32, one batch at a time:

    video (B,3,T,H,W) uint8 ──device.DeviceTransform──► colours · normalisation
"""
