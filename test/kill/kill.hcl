# The one member dies and is held down, so that there is something to revert.
drill "kill-primary" {
  timeout = "4m"

  target "postgresql" "orders" {
    namespace = "NAMESPACE"
    selector  = "app=orders"
    service   = "orders"
    dsn       = secret("orders-drill", "uri")
  }

  steady_state {
    hold    = "8s"
    timeout = "2m"
  }

  fault "kill_primary" "orders" {
    method    = "METHOD"
    hold_down = "HOLD"
  }

  objectives {
    recovery_time = "2m"
  }
}
