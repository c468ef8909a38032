drill "block-at-wrong-level" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  hold = "20s" # ERROR: Unsupported argument

  selector = "a=b" # ERROR: Unsupported argument

  assert { # ERROR: Unsupported block type
    condition     = target.orders.lag_seconds < 5
    error_message = "Lag."
  }

  objectives {
    abort "lag" { # ERROR: Unsupported block type
    }
  }
}

probe "http" "checkout" { # ERROR: Unsupported block type
  url = "http://checkout.shop"
}
