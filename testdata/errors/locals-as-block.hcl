locals "shop" { # ERROR: Unexpected label
  labels { # ERROR: Unsupported block type
    application = "patroni"
  }
}

drill "locals-as-block" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}
}
