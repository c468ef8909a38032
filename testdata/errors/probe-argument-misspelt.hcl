drill "probe-argument-misspelt" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  probe "http" "checkout" {
    url  = "http://checkout.shop"
    rats = 5 # ERROR: Unsupported argument
  }
}
