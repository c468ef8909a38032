namespace = "shop-lab"
limits    = { recovery = "45s" }
stray     = "another drill file's"
