drill "probe-argument-missing" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  probe "http" "checkout" { # ERROR: Missing required argument
  }
}
