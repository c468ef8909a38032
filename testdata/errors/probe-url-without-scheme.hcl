drill "probe-url-without-scheme" {
  target "deployment" "checkout" {
    namespace = "shop"
    selector  = "app=checkout"
  }

  probe "http" "checkout" {
    url = "checkout.shop.svc/orders" # ERROR: Invalid url
  }

  fault "pod_kill" "checkout" {}
}
