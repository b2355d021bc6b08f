export default () => <p>penguins</p>
