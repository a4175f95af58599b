// The hello of the bench in JavaScript: for Valor, and for those that Valor is measured beside.
export default {
  fetch() {
    return new Response("OK response from a plugin");
  },
};
