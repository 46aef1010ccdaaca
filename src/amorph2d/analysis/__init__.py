"""The analysis of one micrograph, from its pixels to located and judged sites."""
