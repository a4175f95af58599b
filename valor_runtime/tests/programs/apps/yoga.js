// GraphQL Yoga with a schema.
import { createSchema, createYoga } from "graphql-yoga";

const books = [
  { id: "1", title: "Emma", author: "Jane Austen" },
  { id: "2", title: "Middlemarch", author: "George Eliot" },
];

const yoga = createYoga({
  graphiql: false,
  landingPage: false,
  logging: false,
  schema: createSchema({
    typeDefs: /* GraphQL */ `
      type Book { id: ID! title: String! author: String! }
      type Query { hello(name: String = "world"): String! books: [Book!]! book(id: ID!): Book fails: String }
      type Mutation { shout(text: String!): String! }
      type Subscription { countdown(from: Int!): Int! }
    `,
    resolvers: {
      Query: {
        hello: (_, { name }) => `hello ${name}`,
        books: () => books,
        book: (_, { id }) => books.find((book) => book.id === id),
        fails: () => {
          throw new Error("not to be told");
        },
      },
      Mutation: { shout: (_, { text }) => text.toUpperCase() },
      Subscription: {
        countdown: {
          async *subscribe(_, { from }) {
            for (let at = from; at >= 0; at--) yield { countdown: at };
          },
        },
      },
    },
  }),
});

export default { fetch: (request, env, ctx) => yoga.fetch(request, env, ctx) };
