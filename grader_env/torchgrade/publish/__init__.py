"""`torchgrade publish`: a folder with all that students need, proven to hold nothing of what they must not see."""
