drill "probe-rate-of-zero" {
  target "deployment" "checkout" {
    namespace = "shop"
    selector  = "app=checkout"
  }

  probe "http" "checkout" {
    url = "http://checkout.shop.svc/orders"
    rate = 0 # ERROR: Rate out of range
  }

  fault "pod_kill" "checkout" {}
}
