# The one member dies and is held down, so that there is something to put back when the API server is away.
drill "outage" {
  timeout = "4m"

  target "postgresql" "orders" {
    namespace = "NAMESPACE"
    selector  = "app=orders"
    service   = "orders"
    dsn       = secret("orders-drill", "uri")
  }

  steady_state {
    hold    = "20s"
    timeout = "2m"
  }

  fault "kill_primary" "orders" {
    method    = "force_delete"
    hold_down = "40s"
  }

  objectives {
    recovery_time = "3m"
  }
}
