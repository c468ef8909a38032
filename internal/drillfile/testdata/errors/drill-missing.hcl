# ERROR: Missing drill block
