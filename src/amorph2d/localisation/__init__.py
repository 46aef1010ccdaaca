"""From a micrograph to sites: tiles, heat maps, peaks, matching, scores."""
