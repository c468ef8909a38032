drill "objective-failed-over-as-duration" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  objectives {
    failed_over = "30s" # ERROR: Unsuitable value type
  }
}
