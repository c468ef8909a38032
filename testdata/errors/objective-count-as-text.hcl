drill "objective-count-as-text" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  objectives {
    lost_writes = "none" # ERROR: Unsuitable value type
  }
}
