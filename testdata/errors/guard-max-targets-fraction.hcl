drill "guard-max-targets-fraction" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  guard {
    max_targets = 0.5 # ERROR: Unsuitable value type
  }
}
