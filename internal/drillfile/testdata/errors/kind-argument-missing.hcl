drill "kill-primary" {
  target "postgresql" "orders" { # ERROR: Missing required argument
    namespace = "shop"
    selector  = "a=b"
  }

  fault "kill_primary" "orders" {}
}
