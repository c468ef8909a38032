drill "fault-wrong-twice" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "order" { # ERROR: Unsuitable fault
    method = "gracful" # ERROR: Unknown method
  }
}
