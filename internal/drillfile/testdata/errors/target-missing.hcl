drill "kill-primary" { # ERROR: Missing target block
  fault "kill_primary" "orders" {}
}
