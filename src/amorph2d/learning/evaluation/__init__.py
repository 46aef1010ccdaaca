"""How good a fitted network is: calibration, scores, and whether what it says of itself is true."""
