drill "blip-negative" {
  blip = "-250ms" # ERROR: Invalid duration

  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}
}
