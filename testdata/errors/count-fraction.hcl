drill "count-fraction" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  objectives {
    leader_changes = 1.5 # ERROR: Unsuitable value type
  }
}
