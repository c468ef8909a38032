drill "up-within-of-target-above-deadline" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
    up_within = "901ms" # ERROR: Duration out of range
  }

  fault "kill_primary" "orders" {}
}
