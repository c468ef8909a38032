drill "target-missing" { # ERROR: Missing target block
  fault "kill_primary" "orders" {}
}
