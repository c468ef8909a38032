drill "objective-unavailable-as-number" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  objectives {
    unavailable = 2 # ERROR: Invalid duration
  }
}
