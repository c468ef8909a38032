drill "blip-too-long" {
  blip = "2001ms" # ERROR: Duration out of range

  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}
}
