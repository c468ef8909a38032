drill "label-missing" {
  target "postgresql" { # ERROR: Missing name for target
  }

  fault "kill_primary" "orders" {}
}
