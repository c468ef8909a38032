drill "objective-null" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
    up_within = null
  }

  fault "kill_primary" "orders" {}

  objectives {
    recovery_time = null
    failed_over   = null
  }
}
