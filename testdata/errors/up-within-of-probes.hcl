drill "up-within-of-probes" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  probe "http" "below" {
    url       = "http://checkout.shop.svc/"
    rate      = 20
    up_within = "80ms" # ERROR: Duration out of range
  }

  probe "http" "above" {
    url       = "http://checkout.shop.svc/"
    timeout   = "400ms"
    up_within = "450ms" # ERROR: Duration out of range
  }

  probe "tcp" "never-late" {
    address   = "checkout.shop.svc:80"
    rate      = 2
    up_within = "600ms" # ERROR: Duration out of range
  }

  probe "tcp" "zero" {
    address   = "checkout.shop.svc:80"
    up_within = "0s" # ERROR: Duration out of range
  }

  probe "kubernetes" "endpoints" {
    namespace = "shop"
    service   = "checkout"
    up_within = "2s" # ERROR: Unsupported argument
  }

  probe "promql" "queue" {
    url       = "http://prometheus.monitoring:9090"
    query     = "up"
    up_within = "2s" # ERROR: Unsupported argument
  }

  fault "kill_primary" "orders" {}
}
