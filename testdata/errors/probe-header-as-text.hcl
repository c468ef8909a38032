drill "probe-header-as-text" {
  target "deployment" "checkout" {
    namespace = "shop"
    selector  = "app=checkout"
  }

  probe "http" "checkout" {
    url = "http://checkout.shop.svc/orders"
    headers = "Host: shop" # ERROR: Unsuitable value type
  }

  fault "pod_kill" "checkout" {}
}
