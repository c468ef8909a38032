drill "block-as-argument" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  timeout { # ERROR: Unsupported block type
  }

  steady_state = { # ERROR: Unsupported argument
    hold = "20s"
  }
}
