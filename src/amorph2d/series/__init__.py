"""Series of micrographs of one area: drift, and sites followed from frame to frame."""
