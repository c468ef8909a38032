drill "target-dsn-missing" {
  target "postgresql" "orders" { # ERROR: Missing required argument
    namespace = "shop"
    selector  = "application=patroni"
  }

  fault "kill_primary" "orders" {}
}
