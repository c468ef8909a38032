drill "duration-without-quotes" {
  timeout = 10m # ERROR: Duration without quotes

  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  objectives {
    recovery_time = "1m30s"
    lost_writes   = 0
  }
}
