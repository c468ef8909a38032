drill "stagger-too-long" {
  timeout = "3h"
  stagger = "61m" # ERROR: Delay too long

  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}
}
