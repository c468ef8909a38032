drill "fault-kill_primary" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "cluster-name=orders"
    dsn       = "postgres://app@orders/orders"
  }

  fault "kill_primary" "orders" {
    method    = "forced" # ERROR: Unknown method
    hold_down = "45"     # ERROR: Invalid duration
  }
}
