drill "objective-failed-over-false" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  objectives {
    failed_over = false # ERROR: Objective that asks for nothing
  }
}
