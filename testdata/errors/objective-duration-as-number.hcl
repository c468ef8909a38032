drill "objective-duration-as-number" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  objectives {
    recovery_time = 30 # ERROR: Invalid duration
  }
}
