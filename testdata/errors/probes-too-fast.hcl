drill "probes-too-fast" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}
  probe "http" "p1" {
    url  = "http://orders.shop/1"
    rate = 100
  }
  probe "http" "p2" {
    url  = "http://orders.shop/2"
    rate = 100
  }
  probe "http" "p3" {
    url  = "http://orders.shop/3"
    rate = 100
  }
  probe "http" "p4" {
    url  = "http://orders.shop/4"
    rate = 100
  }
  probe "http" "p5" {
    url  = "http://orders.shop/5"
    rate = 100
  }
  probe "http" "p6" {
    url  = "http://orders.shop/6"
    rate = 100
  }
  probe "http" "p7" {
    url  = "http://orders.shop/7"
    rate = 100
  }
  probe "http" "p8" {
    url  = "http://orders.shop/8"
    rate = 100
  }
  probe "http" "p9" {
    url  = "http://orders.shop/9"
    rate = 100
  }
  probe "http" "p10" {
    url  = "http://orders.shop/10"
    rate = 100
  }
  probe "http" "p11" { # ERROR: Probes too fast
    url  = "http://orders.shop/11"
    rate = 100
  }
  probe "http" "p12" {
    url  = "http://orders.shop/12"
    rate = 100
  }
  probe "http" "p13" {
    url  = "http://orders.shop/13"
    rate = 100
  }
}
