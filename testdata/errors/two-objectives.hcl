drill "two-objectives" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  objectives {
  }

  objectives { # ERROR: Duplicate objectives block
  }
}
